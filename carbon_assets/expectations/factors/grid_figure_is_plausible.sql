-- No grid emits more than a coal plant of the worst kind: 3 kgCO2e per kWh. A figure in grams or per MWh does.
select factor_id, version, kgco2e_per_unit::text
from {batch}
where family = 'grid' and unit = 'kWh' and kgco2e_per_unit > 3
