-- The countries of an organization add up to its total.
select organization_id, sum(value) filter (where country_iso2 = '')::text as total,
       sum(value) filter (where country_iso2 <> '')::text as countries
from {batch}
group by organization_id
having sum(value) filter (where country_iso2 = '') is distinct from sum(value) filter (where country_iso2 <> '')
