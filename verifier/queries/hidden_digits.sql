-- Entries with a figure that stores more digits than it shows: no statement makes one, but a page can be written so,
-- and sums would have them.
select entry_id::text,
       concat_ws(', ',
           case when min_scale(quantity) > scale(quantity) then 'quantity' end,
           case when min_scale(kgco2e) > scale(kgco2e) then 'kgco2e' end,
           case when min_scale(kg_co2_fossil) > scale(kg_co2_fossil) then 'kg_co2_fossil' end,
           case when min_scale(kg_co2_biogenic) > scale(kg_co2_biogenic) then 'kg_co2_biogenic' end,
           case when min_scale(kg_ch4) > scale(kg_ch4) then 'kg_ch4' end,
           case when min_scale(kg_n2o) > scale(kg_n2o) then 'kg_n2o' end,
           case when min_scale(kgco2e_granular) > scale(kgco2e_granular) then 'kgco2e_granular' end,
           case when min_scale(primary_share) > scale(primary_share) then 'primary_share' end)
from ledger.entry
where min_scale(quantity) > scale(quantity) or min_scale(kgco2e) > scale(kgco2e)
   or min_scale(kg_co2_fossil) > scale(kg_co2_fossil) or min_scale(kg_co2_biogenic) > scale(kg_co2_biogenic)
   or min_scale(kg_ch4) > scale(kg_ch4) or min_scale(kg_n2o) > scale(kg_n2o)
   or min_scale(kgco2e_granular) > scale(kgco2e_granular) or min_scale(primary_share) > scale(primary_share)
order by 1
