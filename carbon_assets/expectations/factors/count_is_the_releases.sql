-- As many factors and index rows as the release says it has.
select r.release_id, r.factor_count as expected, f.factors as found, r.index_count as expected_indices,
       i.indices as found_indices
from factors.release r
cross join lateral (select count(*) as factors from {batch}) as f
cross join lateral (select count(*) as indices from factors.release_index x where x.release_id = r.release_id) as i
where r.release_id = $unit and (r.factor_count <> f.factors or r.index_count <> i.indices)
