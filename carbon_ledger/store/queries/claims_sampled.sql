-- Some claims, others for another seed; with fewer than that, all of them.
select found.claim
from (select distinct c.claim from ledger.claim_entry c where c.claim is not null) as found
order by sha256(convert_to(%(seed)s || found.claim, 'UTF8'))
limit %(limit)s
