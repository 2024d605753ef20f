"""Revenue: who gets how much of what a job earned, by an agreement that the members signed.

`agreement` is what they signed, `evidence` what a verified record says of a job, `shares` the
arithmetic, `settlement` one payment run of jobs, `deeds` what members sign in it, `standing` its
states, `outgoing` what a member sends to the places that keep deeds.
"""
