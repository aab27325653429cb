"""The kinds of restore by command line; each module takes its arguments and does its part."""
