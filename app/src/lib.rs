//! Segue, the program: its window, and its command line.
