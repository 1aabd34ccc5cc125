"""The register: who lives where, who holds which card, and which doors it opens. It never sends anything."""
