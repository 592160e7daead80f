select r.release_id, r.sha256, r.factor_count, r.index_count, r.recorded_at
from factors.release r
order by r.recorded_at desc, r.release_id desc
