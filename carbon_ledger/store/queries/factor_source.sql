select f.factor_id, f.version, f.publisher, f.dataset, f.source_id, f.licence, f.year, f.kgco2e_per_unit, f.unit,
       f.boundary, f.method, encode(f.sha256, 'hex') as sha256
from factors.factor f where f.factor_id = %(factor_id)s and f.version = %(version)s
