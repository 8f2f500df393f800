"""What the project needs to run itself."""
