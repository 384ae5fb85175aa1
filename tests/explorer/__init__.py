"""The real operations, planner and definitions over tables in memory, explored state by state, breadth first.

    explored = explore(WORLDS["accept"])
    print(explored.states, explored.story)

A *world* says how far its order has come and what may happen to it from there: `worlds.py`. Between two moves anything else may move, so
a search visits every order of them. What must hold in each state stands in `rules.py`. Since nearest states are visited first, the story
that leads to a broken rule is a shortest one.

States are compared by what decides over the future: ids are numbered by their place in the state, messages are the set of those that
were ever sent, and of times only that they are over or not.
"""
