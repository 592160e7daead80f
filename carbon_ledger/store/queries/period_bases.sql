select b.payload_sha256, b.basis_text
from ledger.period_basis b
where b.payload_sha256 = any(%(payload_sha256s)s)
