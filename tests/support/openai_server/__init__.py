"""A local server that speaks OpenAI's Chat Completions API over real HTTP, as strictly as the real one.

Facts of the wire are from OpenAI's own Python client (openai 3.54, generated from OpenAI's OpenAPI document),
its guides on structured outputs, prompt caching, rate limits and error codes
(developers.openai.com/api/docs/guides) as third parties quote them, and errors quoted in public issues; read
on 2026-11-22. Where the sources disagree the stricter of them holds (`minLength` is refused).
"""
