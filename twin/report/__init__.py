"""Results as figures (`plots`, the only module that imports matplotlib) and as one self-contained page (`html`)."""
