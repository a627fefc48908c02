"""Growth: the conductor of the next generation. It learns what is new, keeps what was known, and passes a gate before it is stored.

memory     what the parent and its ancestors left: probes, examples, features, and which examples they learned or were tested on
news       what is new in the data: classes, another domain, more examples, nothing; and on which side each example falls
ways       by which way to learn it, with reasons: statistics, replay, deep
parent     the network to go on from, with room for new classes
statistics replay: the ways themselves, each an execution (``tune.execute``) that is judged before it is stored
gate       parent and child on every probe; what was lost
conduct    grow: all of it in order
"""
