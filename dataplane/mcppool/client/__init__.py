"""The pipeline for a program that calls tools itself."""
