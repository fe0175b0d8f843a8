"""The task as Gymnasium environments: thin users of `envs.task.trial`."""
