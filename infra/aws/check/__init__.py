"""`make infra-check`: what can be known of the stacks without AWS, by checkers that have an environment of their own."""
