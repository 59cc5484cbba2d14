/** CRDs of the two report APIs: those that the charts install. */
export { REPORT_CRDS } from "../../deploy/helm/source/report_crds.ts";
