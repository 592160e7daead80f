select organization_id, country_iso2, value::text
from {batch}
where value in ('NaN'::numeric, 'Infinity'::numeric, '-Infinity'::numeric)
