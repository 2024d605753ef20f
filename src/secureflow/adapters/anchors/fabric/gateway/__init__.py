"""What speaks to a Fabric peer, in a process and an environment of its own (`serving`).

Fabric's official protobuf package needs another release of protobuf than the platform has. So
nothing here imports anything of the platform, and nothing of the platform imports this but by name
of its file.
"""
