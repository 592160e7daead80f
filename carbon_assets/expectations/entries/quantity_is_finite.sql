select stream, entry_id::text, quantity::text
from {batch}
where quantity in ('NaN'::numeric, 'Infinity'::numeric, '-Infinity'::numeric)
