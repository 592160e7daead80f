select f.factor_id, f.version, f.family, f.publisher, f.dataset, f.source_id, f.country_iso2, f.region,
       f.energy_source, f.technology, f.year, f.valid_from, f.valid_to, f.boundary, f.basis, f.method, f.unit,
       f.kgco2e_per_unit, f.kg_co2_per_unit, f.kg_ch4_per_unit, f.kg_n2o_per_unit, f.gwp_set, f.licence,
       f.sha256, f.attributes::text
from factors.release_factor r
join factors.factor f using (factor_id, version)
where r.release_id = %(release_id)s
  and (%(factor_ids)s::text[] is null or r.factor_id = any(%(factor_ids)s::text[]))
