"""What the tests share: processes to test against, and ways to start them."""
