-- Reversals whose entry is missing or is one itself, or whose figures do not cancel it; and all that have gases
-- beside the four, whose figures are texts.
with pair as (
    select b.entry_id, b.reverses_id, a.entry_id is null as is_missing, a.reverses_id is not null as is_reversal,
           (b.quantity, b.kgco2e, b.kg_co2_fossil, b.kg_co2_biogenic, b.kg_ch4, b.kg_n2o, b.kgco2e_granular)
           is not distinct from
           (-a.quantity, -a.kgco2e, -a.kg_co2_fossil, -a.kg_co2_biogenic, -a.kg_ch4, -a.kg_n2o, -a.kgco2e_granular)
               as cancels,
           a.other_gases::text as gases, b.other_gases::text as negative
    from ledger.entry b
    left join ledger.entry a on a.activity_month = b.activity_month and a.entry_id = b.reverses_id
    where b.reverses_id is not null
)
select entry_id::text, reverses_id::text, is_missing, is_reversal, cancels, gases, negative
from pair
where is_missing or is_reversal or not cancels or gases is not null or negative is not null
order by 1
