"""The agent's process and its surroundings: start, link, control socket, enrolment, doctor."""
