select factor_id, version, valid_from::text, valid_to::text
from {batch}
where valid_to < valid_from
