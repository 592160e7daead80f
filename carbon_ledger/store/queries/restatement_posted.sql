-- What a restatement posted in a month beside its preview, line by line: how many lines, how many of them are
-- exactly the preview's (old + delta = new, the reversal the negative), and the sum of what was posted.
select count(*) as lines,
       count(*) filter (
           where coalesce(old.kgco2e, 0) + l.delta_kgco2e = coalesce(new.kgco2e, 0)
             and coalesce(back.kgco2e, 0) = -coalesce(old.kgco2e, 0)
             and (l.entry_id is null) = (back.entry_id is null)
             and (l.new_entry_id is null) = (new.entry_id is null)
             and (back.entry_id is null or back.recorded_at = %(recorded_at)s)
             and (new.entry_id is null or new.recorded_at = %(recorded_at)s)
             and coalesce(old.kg_co2_fossil, 0) + l.delta_kg_co2_fossil = coalesce(new.kg_co2_fossil, 0)
             and coalesce(old.kg_co2_biogenic, 0) + l.delta_kg_co2_biogenic = coalesce(new.kg_co2_biogenic, 0)
             and coalesce(old.kg_ch4, 0) + l.delta_kg_ch4 = coalesce(new.kg_ch4, 0)
             and coalesce(old.kg_n2o, 0) + l.delta_kg_n2o = coalesce(new.kg_n2o, 0)
       ) as equal,
       coalesce(sum(coalesce(back.kgco2e, 0) + coalesce(new.kgco2e, 0)), 0) as delta_kgco2e
from ledger.restatement_line l
left join ledger.entry old on old.activity_month = l.activity_month and old.entry_id = l.entry_id
left join ledger.reversal r on r.entry_id = l.entry_id
left join ledger.entry back on back.activity_month = l.activity_month and back.entry_id = r.reversal_entry_id
left join ledger.entry new on new.activity_month = l.new_month and new.entry_id = l.new_entry_id
where l.restatement_id = %(restatement_id)s and l.activity_month = %(month)s
