-- Events that a submission which was not rejected has already, or the ledger, with where.
select r.event_id, 'A-' || min(r.submission_id)
from ledger.activity_row r
left join ledger.activity_decision d on d.submission_id = r.submission_id
where r.event_id = any(%(event_ids)s) and coalesce(d.is_approved, true)
group by r.event_id
union
select i.event_id, 'the ledger'
from ledger.event_identity i
where i.event_id = any(%(event_ids)s)
order by 1, 2
