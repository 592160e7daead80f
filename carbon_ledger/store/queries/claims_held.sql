-- Claims that wait for a person: the newest row of the claim as a whole says so.
select found.claim, found.flags, found.cause
from (
    select distinct on (s.claim) s.claim, s.role, s.flags, s.cause
    from ledger.claim_standing s
    where s.fact_id = ''
    order by s.claim, s.decided_at desc
) as found
where found.role = 'held'
order by found.claim
