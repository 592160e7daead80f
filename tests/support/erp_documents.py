"""Purchase orders in the published shapes of SAP S/4HANA and Oracle Fusion, as tests send them."""

from __future__ import annotations

import copy
from typing import Any

SAP_ITEM = {
    "PurchaseOrder": "4500000001",
    "PurchaseOrderItem": "10",
    "PurchasingDocumentDeletionCode": "",
    "PurchaseOrderItemText": "Hot rolled coil",
    "Plant": "1010",
    "MaterialGroup": "L001",
    "Material": "TG10",
    "OrderQuantity": "12.5",
    "PurchaseOrderQuantityUnit": "TO",
    "NetPriceAmount": "701.33",
    "NetPriceQuantity": "1",
    "OrderPriceUnitToOrderUnitNmrtr": "1",
    "OrdPriceUnitToOrderUnitDnmntr": "1",
    "DocumentCurrency": "EUR",
}
SAP_ORDER = {
    "PurchaseOrder": "4500000001",
    "CompanyCode": "1010",
    "PurchaseOrderType": "NB",
    "PurchasingDocumentDeletionCode": "",
    "PurchaseOrderVersion": "0",
    "CreationDate": "/Date(1714521600000)/",
    "LastChangeDateTime": "/Date(1714566896000+0000)/",
    "PurchaseOrderDate": "/Date(1714521600000)/",
    "Supplier": "17300001",
    "DocumentCurrency": "EUR",
}
ORACLE_LINE = {
    "POLineId": 300100185110512,
    "LineNumber": 1,
    "Item": "AS54888",
    "Description": "Standard desktop",
    "CategoryCode": "COMPUTERS",
    "Quantity": 3,
    "UOMCode": "Ea",
    "Price": 1999.99,
    "Ordered": 5999.97,
    "StatusCode": "OPEN",
}
ORACLE_ORDER = {
    "POHeaderId": 300100185110511,
    "OrderNumber": "1001509",
    "SoldToLegalEntityId": 300100000000123,
    "SupplierNumber": "1253",
    "Supplier": "Lee Supplies",
    "CurrencyCode": "USD",
    "StatusCode": "OPEN",
    "Revision": 0,
    "CreationDate": "2024-05-08T09:14:27+00:00",
    "LastUpdateDate": "2024-05-09T10:00:00.123+00:00",
}


def sap_order(number: str = "4500000001", items: int = 1, **changes: Any) -> dict[str, Any]:
    """An order of S/4HANA with so many lines, numbered 10, 20, …; `changes` are of its header."""
    order = {**SAP_ORDER, "PurchaseOrder": number, **changes}
    lines = [
        {**SAP_ITEM, "PurchaseOrder": number, "PurchaseOrderItem": str(10 * position)}
        for position in range(1, items + 1)
    ]
    return copy.deepcopy({**order, "to_PurchaseOrderItem": {"results": lines}})


def sap_item(**changes: Any) -> dict[str, Any]:
    """An order of S/4HANA whose one line has these changes."""
    order = sap_order()
    order["to_PurchaseOrderItem"]["results"][0].update(changes)
    return order


def oracle_order(number: str = "1001509", **changes: Any) -> dict[str, Any]:
    """An order of Fusion with one line."""
    order = {**ORACLE_ORDER, "OrderNumber": number, **changes}
    return copy.deepcopy({**order, "lines": {"items": [ORACLE_LINE]}})
