insert into factors.factor (
    factor_id, version, family, publisher, dataset, source_id, country_iso2, region, energy_source,
    technology, year, valid_from, valid_to, boundary, basis, method, unit, kgco2e_per_unit,
    kg_co2_per_unit, kg_ch4_per_unit, kg_n2o_per_unit, gas_split, gwp_set, licence, note, attributes,
    sha256
)
values (
    %(factor_id)s, %(version)s, %(family)s, %(publisher)s, %(dataset)s, %(source_id)s, %(country_iso2)s,
    %(region)s, %(energy_source)s, %(technology)s, %(year)s, %(valid_from)s, %(valid_to)s, %(boundary)s,
    %(basis)s, %(method)s, %(unit)s, %(kgco2e_per_unit)s, %(kg_co2_per_unit)s, %(kg_ch4_per_unit)s,
    %(kg_n2o_per_unit)s, %(gas_split)s, %(gwp_set)s, %(licence)s, %(note)s, %(attributes)s, %(sha256)s
)
on conflict (factor_id, version) do nothing
