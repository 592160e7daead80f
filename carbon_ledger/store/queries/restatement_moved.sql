-- Lines of the months still to be posted whose entry no longer stands or whose new name is taken.
select l.activity_month, coalesce(l.entry_id, l.new_entry_id) as entry_id,
       case when r.entry_id is not null
           then format('entry %%s was reversed on %%s', l.entry_id, r.recorded_at)
           else format('event %%s was posted by somebody else', l.new_event_id) end as what
from ledger.restatement_line l
left join ledger.reversal r on r.entry_id = l.entry_id
left join ledger.event_identity i on i.event_id = l.new_event_id
where l.restatement_id = %(restatement_id)s
  and not exists (
      select from ledger.restatement_posting p
      where p.restatement_id = l.restatement_id and p.activity_month = l.activity_month)
  and (r.entry_id is not null or i.event_id is not null)
order by 1, 2
limit 5
