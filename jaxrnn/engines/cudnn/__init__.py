"""The LSTM of cuDNN. Loaded when it is asked for."""
