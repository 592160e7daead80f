-- A report speaks of what was known when it was made. It is recorded with the moment at which its transaction began,
-- and asks what is known a little later.
select organization_id, country_iso2, as_of::text
from {batch}
where as_of > recorded_at + interval '10 minutes'
