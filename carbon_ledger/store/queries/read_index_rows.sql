select i.index_id, i.version, i.series, i.key, i.year, i.value, i.unit, i.publisher, i.source_id,
       i.quality_flags, i.licence, i.formula, i.note, i.sha256
from factors.release_index r
join factors.index_row i using (index_id, version)
where r.release_id = %(release_id)s
