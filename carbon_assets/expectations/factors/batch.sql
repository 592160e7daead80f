select f.*
from factors.release_factor m
join factors.factor f on f.factor_id = m.factor_id and f.version = m.version
where m.release_id = $unit
