"""What is shown of results: the page, its charts, results/ and the README."""
