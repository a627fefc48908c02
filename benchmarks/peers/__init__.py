"""The peers, each as a small script that trains, tests and prints one JSON line."""
