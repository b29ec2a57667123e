"""Results for readers: the page, its charts, results/ and the table in the README."""
