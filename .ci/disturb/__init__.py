"""Cells of `.ci/reliability.py`: what is disturbed, how, and what must hold afterwards."""
