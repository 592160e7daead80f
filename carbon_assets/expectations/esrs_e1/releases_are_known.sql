-- Every release that a figure names is there.
select t.organization_id, t.release_id
from (
    select organization_id, string_to_table(factor_releases, ',') as release_id from {batch} where country_iso2 = ''
) as t
where not exists (select from factors.release r where r.release_id = t.release_id)
