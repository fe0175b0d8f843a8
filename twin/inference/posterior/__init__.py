"""What the choices of mice say of a rule's parameters: the posterior of every mouse and of the population they come from."""
