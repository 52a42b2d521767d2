"""A second, independent interval engine, to compare with: a tripwire. No verdict rests on it."""
