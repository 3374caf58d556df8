"""The idea itself: quantise, pack, unpack; numpy only."""
