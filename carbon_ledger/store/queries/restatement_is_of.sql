-- Whether a restatement has lines of an organization in these months; one whose lines name no entry of the ledger may
-- be anybody's.
select count(*) = 0 or coalesce(bool_or(e.entry_id is null or e.organization_id = %(organization)s), false)
from ledger.restatement_line l
left join ledger.entry e on e.entry_id = l.entry_id and e.activity_month = l.activity_month
where l.restatement_id = %(restatement_id)s and l.activity_month = any(%(months)s::date[])
