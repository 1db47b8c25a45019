"""Audio files as waveforms, with what their containers say and what is wrong with them."""
