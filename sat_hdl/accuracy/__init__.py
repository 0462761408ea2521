"""Trainings of many models by many methods in the golden model: what accuracy each reaches."""
