-- Factors as programs read them, every number text: of a release, or every version of one. Null narrows nothing.
select
    f.factor_id,
    f.version,
    f.family,
    f.publisher,
    f.dataset,
    f.source_id,
    f.country_iso2,
    f.region,
    f.energy_source,
    f.technology,
    f.year,
    f.valid_from::text as valid_from,
    f.valid_to::text as valid_to,
    f.boundary,
    f.basis,
    f.method,
    f.unit,
    f.kgco2e_per_unit::text as kgco2e_per_unit,
    f.kg_co2_per_unit::text as kg_co2_per_unit,
    f.kg_ch4_per_unit::text as kg_ch4_per_unit,
    f.kg_n2o_per_unit::text as kg_n2o_per_unit,
    f.gas_split,
    f.gwp_set,
    f.licence,
    f.note,
    f.attributes,
    encode(f.sha256, 'hex') as sha256
from factors.factor f
where (%(factor_id)s::text is null or f.factor_id = %(factor_id)s::text)
  and (%(release_id)s::text is null
       or exists (select from factors.release_factor r
                  where r.release_id = %(release_id)s::text and r.factor_id = f.factor_id and r.version = f.version))
  and (%(family)s::text is null or f.family = %(family)s::text)
  and (%(publisher)s::text is null or f.publisher = %(publisher)s::text)
  and (%(country)s::text is null or f.country_iso2 = %(country)s::text)
  and (%(energy_source)s::text is null or f.energy_source = %(energy_source)s::text)
  and (%(year)s::integer is null or f.year = %(year)s::integer)
  and (%(after_id)s::text is null
       or (f.factor_id, f.version) > (%(after_id)s::text collate "C", %(after_version)s::integer))
order by f.factor_id, f.version
limit %(limit)s::integer
