"""guardrail: privacy and policy enforcement for LLM traffic. Import from the concept's module."""

__version__ = "0.1.0"
