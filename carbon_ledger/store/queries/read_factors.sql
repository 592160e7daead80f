select f.*
from factors.release_factor r
join factors.factor f using (factor_id, version)
where r.release_id = %(release_id)s
order by f.factor_id, f.version
