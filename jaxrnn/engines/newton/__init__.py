"""Newton's method over time: a nonlinear recurrence as a short series of linear ones."""
