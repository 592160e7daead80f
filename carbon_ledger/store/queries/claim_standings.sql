-- How the facts of some claims stand: the newest row of each fact and line.
select distinct on (s.claim, s.fact_id, s.line_no)
       s.claim, s.fact_id, s.line_no, s.decided_at, s.revision, s.role, s.share, s.flags, s.entry_id,
       s.activity_month, s.whole_entry_id, s.whole_month, s.cause
from ledger.claim_standing s
where s.claim = any(%(claims)s::text[])
order by s.claim, s.fact_id, s.line_no, s.decided_at desc
